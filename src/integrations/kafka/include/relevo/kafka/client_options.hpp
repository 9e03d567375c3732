// What every client of a Kafka cluster needs: where it is and how to log in.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace relevo::kafka {

struct ClientOptions {
  std::string bootstrap_servers;
  // librdkafka properties, handed on as they are. Those of refused_property() are an error.
  std::map<std::string, std::string> properties;
  std::string client_id = "relevo";
};

// Why this property may not be set by the user; nullopt when it may.
std::optional<std::string_view> refused_property(std::string_view name);

}  // namespace relevo::kafka
