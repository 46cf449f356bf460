# The rules of the house that a machine can check (docs/design.md, "The rooms"):
#   - an include goes down the table below, never up or across;
#   - a third-party header is named only in its home;
#   - a public header names standard headers and public headers only;
#   - a source with a header of its own includes that header first, so that headers stand alone;
#   - every source belongs to a target;
#   - no file, target or output is called "vector", which would hide <vector>;
#   - a word that an error carries for scripts stands in docs/errors.md.
# A file of more than 400 lines is only mentioned.
#
# Usage: cmake -D ROOT=<tree> -D TARGETS=<file> -P architecture.cmake
# TARGETS is what tests/architecture_targets.cmake wrote: "target <name>" and "source <path>" lines.
cmake_minimum_required(VERSION 3.25)

# What each room may include besides itself. A room sees all that the rooms below it see.
set(below_include "")
set(below_base include)
set(below_simulator base)
set(below_providers base)
set(below_sources base)
set(below_store base)
set(below_vector base)
set(below_stages providers sources store vector)
set(below_corpus stages)
set(below_pipeline corpus)
set(below_cli include)
set(below_examples include)
set(below_bench pipeline simulator)
set(below_tests pipeline simulator cli bench)
set(rooms include base simulator providers sources store vector stages corpus pipeline cli examples bench tests)

# Third-party headers by the beginning of their name, and where they may be included: a room or a
# file, or several parted by "|". Tests of a room may use what the room uses, and benches measure what they like.
set(homes
  "tbb/=pipeline" "oneapi/=pipeline"
  "curl/=providers"
  "rapidjson/=tests" "toml++/=base/toml_reader.cc"
  "sqlite3.h=store" "lmdb.h=store"
  "faiss/=vector" "omp.h=vector"
  "CLI/=cli"
  "unicode/=stages"
  "zlib.h=sources|providers/gzip.cc" "zstd.h=sources" "zstd_errors.h=sources"
  "openssl/=base/hash.cc|tests/providers/tls_server.cc|tests/providers/tls_certificates.cc|tests/providers/tls_certificates.h"
  "xxhash.h=base/hash.cc"
  "gtest/=tests" "gmock/=tests"
  "benchmark/=bench")
# Besides those only C++ standard headers (no ".h", no "/") and these of the platform.
set(platform "^((sys|netinet|arpa|linux|sanitizer)/[a-z0-9_/]+|[a-z]*intrin|cxxabi|dirent|errno|fcntl|getopt|limits|netdb|poll|pthread|pty|sched|signal|spawn|stdint|stdio|stdlib|string|termios|time|unistd)\\.h$")
set(lines_max 400)

set(violations 0)
function(violation text)
  message(NOTICE "violation: ${text}")
  math(EXPR violations "${violations} + 1")
  set(violations ${violations} PARENT_SCOPE)
endfunction()

# Sets `out` to all rooms below `room`.
function(rooms_below room out)
  set(all "")
  foreach(next IN LISTS below_${room})
    rooms_below(${next} further)
    list(APPEND all ${next} ${further})
  endforeach()
  list(REMOVE_DUPLICATES all)
  set(${out} ${all} PARENT_SCOPE)
endfunction()
foreach(room IN LISTS rooms)
  rooms_below(${room} visible_${room})
  list(APPEND visible_${room} ${room})
endforeach()

# Sets `out` to the room that the name in an include directive points into, or to "".
function(room_of_include name out)
  string(REGEX MATCH "^[^/]+" first "${name}")
  if(first STREQUAL "embedflow")
    set(first include)
  elseif(first STREQUAL "include" OR NOT name MATCHES "/" OR NOT first IN_LIST rooms)
    set(first "")
  endif()
  set(${out} "${first}" PARENT_SCOPE)
endfunction()

# Checks one include of `file`, which stands in `room`.
function(check_include file room name)
  room_of_include("${name}" target)
  if(target)
    if(NOT target IN_LIST visible_${room})
      violation("${file}: ${room} may not include \"${name}\"")
    endif()
  elseif(name MATCHES "^[a-z_0-9]+$")
    # A standard header.
  elseif(room STREQUAL "include")
    violation("${file}: a public header may not include <${name}>")
  elseif(NOT name MATCHES "${platform}")
    set(known FALSE)
    foreach(entry IN LISTS homes)
      string(REGEX MATCH "^([^=]+)=(.+)$" entry "${entry}")
      set(prefix "${CMAKE_MATCH_1}")
      set(home "${CMAKE_MATCH_2}")
      string(FIND "${name}" "${prefix}" position)
      if(position EQUAL 0)
        set(known TRUE)
        set(at_home FALSE)
        string(REPLACE "|" ";" one_of "${home}")
        foreach(place IN LISTS one_of)
          string(REGEX MATCH "^[^/]+" home_room "${place}")
          string(FIND "${file}" "tests/${home_room}/" in_tests)
          string(FIND "${file}/" "${place}/" in_home)
          if(in_home EQUAL 0 OR in_tests EQUAL 0)
            set(at_home TRUE)
          endif()
        endforeach()
        if(NOT at_home AND NOT room STREQUAL "bench")
          violation("${file}: <${name}> has its home in ${home}")
        endif()
      endif()
    endforeach()
    if(NOT known)
      violation("${file}: \"${name}\" is neither written from the root nor known to have a home")
    endif()
  endif()
  set(violations ${violations} PARENT_SCOPE)
endfunction()

set(errors_page "")
if(EXISTS ${ROOT}/docs/errors.md)
  file(READ ${ROOT}/docs/errors.md errors_page)
endif()

set(sources "")
foreach(room IN LISTS rooms)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${room}/*.h ${ROOT}/${room}/*.cc ${ROOT}/${room}/*.cpp)
  # A project of its own, that uses the installed library.
  list(FILTER files EXCLUDE REGEX "^tests/install_consumer/")
  list(LENGTH files count)
  foreach(file IN LISTS files)
    file(STRINGS ${ROOT}/${file} includes REGEX "^[ \t]*#[ \t]*include")
    set(first_include "")
    foreach(line IN LISTS includes)
      if(line MATCHES "include[ \t]*[<\"]([^>\"]+)[>\"]")
        set(name "${CMAKE_MATCH_1}")
        if(NOT first_include)
          set(first_include "${name}")
        endif()
        check_include(${file} ${room} "${name}")
      endif()
    endforeach()

    string(REGEX REPLACE "\\.(cc|cpp)$" ".h" header ${file})
    if(NOT header STREQUAL file)
      list(APPEND sources ${file})
      if(EXISTS ${ROOT}/${header} AND NOT first_include STREQUAL header)
        violation("${file}: includes \"${first_include}\" before its own header")
      endif()
    endif()
    get_filename_component(stem ${file} NAME_WE)
    if(stem STREQUAL "vector")
      violation("${file}: no file is called vector")
    endif()
    if(NOT room STREQUAL "tests")
      file(STRINGS ${ROOT}/${file} lines_with_words REGEX "WithWord\\(\"")
      foreach(line IN LISTS lines_with_words)
        string(REGEX REPLACE ".*WithWord\\(\"([^\"]*)\".*" "\\1" word "${line}")
        if(NOT errors_page MATCHES "`${word}`")
          violation("${file}: docs/errors.md does not explain the word ${word}")
        endif()
      endforeach()
    endif()
    # A bracket or semicolon in the text would join or split list entries, so lines are counted raw.
    file(READ ${ROOT}/${file} text)
    string(REGEX REPLACE "[^\n]" "" newlines "${text}")
    string(LENGTH "${newlines}" lines)
    if(lines GREATER lines_max)
      message(NOTICE "note: ${file} has ${lines} lines; is there a second subject in it?")
    endif()
  endforeach()
endforeach()
if(NOT sources)
  violation("${ROOT}: no sources found")
endif()

file(STRINGS ${TARGETS} entries)
foreach(entry IN LISTS entries)
  string(REGEX MATCH "^(target|source) (.+)$" entry "${entry}")
  if(CMAKE_MATCH_1 STREQUAL "source")
    set(built_${CMAKE_MATCH_2} TRUE)
  elseif(CMAKE_MATCH_2 STREQUAL "vector")
    violation("no target or output is called vector")
  endif()
endforeach()
foreach(source IN LISTS sources)
  if(NOT built_${source})
    violation("${source}: belongs to no target")
  endif()
endforeach()

if(violations)
  message(FATAL_ERROR "${violations} violations of the house rules (tests/architecture.cmake)")
endif()
