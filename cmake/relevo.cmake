# Compiler settings for every target, and how a target is declared here:
#   relevo_library(NAME DEPENDS …)     a folder of src/: its headers lie in include/relevo/<name>/, its sources beside
#   relevo_executable(NAME …)          a program
#   relevo_embed_sql(TARGET …)         SQL files as constants of that target
# Include roots are per target, so that a header of a folder that was not linked cannot be found.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1")

find_program(RELEVO_CCACHE ccache)
if(RELEVO_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RELEVO_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${RELEVO_CCACHE})
endif()

set(RELEVO_SANITIZER "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined or thread")

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

add_library(relevo_settings INTERFACE)
target_compile_options(relevo_settings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wimplicit-fallthrough -Wcast-align -Werror>)
target_link_libraries(relevo_settings INTERFACE Threads::Threads)
if(RELEVO_SANITIZER)
  target_compile_options(relevo_settings INTERFACE -fsanitize=${RELEVO_SANITIZER} -fno-omit-frame-pointer)
  target_link_options(relevo_settings INTERFACE -fsanitize=${RELEVO_SANITIZER})
  if(RELEVO_SANITIZER MATCHES "thread")
    # Asio uses fences, which ThreadSanitizer does not follow and GCC warns about.
    target_compile_options(relevo_settings INTERFACE -Wno-tsan)
  endif()
  if(RELEVO_SANITIZER MATCHES "undefined")
    target_compile_options(relevo_settings INTERFACE -fno-sanitize-recover=undefined)
  endif()
else()
  target_compile_options(relevo_settings INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3> -D_GLIBCXX_ASSERTIONS)
  target_link_options(relevo_settings INTERFACE -Wl,-z,relro,-z,now)
endif()
include(CheckPIESupported)
check_pie_supported()

# librdkafka uses C11 threads, which ThreadSanitizer does not know: see the file.
if(RELEVO_SANITIZER MATCHES "thread")
  add_library(relevo_tsan_c11threads OBJECT ${CMAKE_CURRENT_LIST_DIR}/../tests/tsan_c11threads.c)
  target_link_libraries(relevo_tsan_c11threads PRIVATE relevo_settings)
endif()

# An executable of sources; LINK its libraries.
function(relevo_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE relevo_settings ${ARG_LINK})
  if(TARGET relevo_tsan_c11threads)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:relevo_tsan_c11threads>)
  endif()
endfunction()

function(relevo_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PRIVATE" ${ARGN})
  set(folder ${CMAKE_CURRENT_SOURCE_DIR})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  file(GLOB headers CONFIGURE_DEPENDS ${folder}/include/relevo/*/*.hpp)
  add_library(relevo_${name} STATIC ${sources} ${headers})
  set_target_properties(relevo_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(relevo_${name} PUBLIC ${folder}/include PRIVATE ${folder})
  target_link_libraries(relevo_${name} PUBLIC relevo_settings ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE})
endfunction()

# Turns each *.sql of FILES into constants in a generated header <relevo/NAME/HEADER>.
# A file with `-- name: x` lines yields one statement a name, any other file one migration.
function(relevo_embed_sql target)
  cmake_parse_arguments(ARG "" "HEADER" "FILES" ${ARGN})
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated/${ARG_HEADER})
  set(tool ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/embed_sql.cmake)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DOUT=${out}" "-DFILES=${ARG_FILES}" -P ${tool}
    DEPENDS ${ARG_FILES} ${tool}
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/generated)
endfunction()
