// A visitor for std::visit made of one function a case.
#pragma once

namespace relevo::core {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

template <class... Cases>  // clang 16 does not deduce it
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace relevo::core
