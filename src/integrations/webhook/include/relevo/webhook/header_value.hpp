// What may stand in the headers of a request: values come from rows and records of other people,
// and a line break among them would start a header of its own.
#pragma once

#include <string>
#include <string_view>

namespace relevo::webhook {

// "name: value", where everything but printable ASCII, and %, is percent-encoded (as the HTTP
// binding of CloudEvents asks for).
std::string header(std::string_view name, std::string_view value);

// An identifier for webhook-id: percent-encoded where header() would, and its dots too, since a dot
// ends it in the signed content. Different identifiers stay different.
std::string webhook_id(std::string_view id);

// Whether it can be the name of a header: lower-case letters, digits and dashes.
bool is_header_name(std::string_view name);

}  // namespace relevo::webhook
