// What follows from the type of a field: its shape in a source, and its name in the reference.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "relevo/config/secret.hpp"
#include "value.hpp"

namespace relevo::config {

template <class T>
inline constexpr std::string_view kTypeName = "whole number";
template <>
inline constexpr std::string_view kTypeName<std::string> = "text";
template <>
inline constexpr std::string_view kTypeName<Secret> = "text, secret";
template <>
inline constexpr std::string_view kTypeName<bool> = "true or false";
template <>
inline constexpr std::string_view kTypeName<std::chrono::milliseconds> = "duration";
template <>
inline constexpr std::string_view kTypeName<List> = "list";
template <>
inline constexpr std::string_view kTypeName<Map> = "map";
template <class T>
inline constexpr std::string_view kTypeName<std::optional<T>> = kTypeName<T>;

template <class T>
inline constexpr Shape kShape = std::is_same_v<T, List>  ? Shape::kList
                                : std::is_same_v<T, Map> ? Shape::kMap
                                                         : Shape::kScalar;

}  // namespace relevo::config
