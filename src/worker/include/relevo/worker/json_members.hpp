// Looks into a JSON object without building a tree: the texts of its members as they stand, so that
// a payload keeps its numbers and spelling to the last digit. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace relevo::worker {

bool is_json(std::string_view text);  // one JSON value, valid UTF-8

// The rest take valid JSON (is_json) and trust it.

std::string_view trim_json(std::string_view text);  // without white space around it
bool is_json_object(std::string_view text);
bool is_json_string(std::string_view text);

// Calls visit(name, value) for each member of an object in its order; names are decoded, values the
// text of the value without white space around it.
void for_each_member(std::string_view object,
                     const std::function<void(const std::string&, std::string_view)>& visit);

std::string json_string(std::string_view quoted);  // the text that a JSON string stands for

}  // namespace relevo::worker
