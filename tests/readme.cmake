# The program that README.md shows is the one that is built and run: examples/minimal.cc holds it word
# for word.
# Usage: cmake -D ROOT=<tree> -P readme.cmake
cmake_minimum_required(VERSION 3.25)
file(READ ${ROOT}/README.md readme)
file(READ ${ROOT}/examples/minimal.cc program)
string(FIND "${readme}" "```cpp\n" begin)
if(begin EQUAL -1)
  message(FATAL_ERROR "README.md shows no program")
endif()
math(EXPR begin "${begin} + 7")
string(SUBSTRING "${readme}" ${begin} -1 shown)
string(FIND "${shown}" "```" end)
string(SUBSTRING "${shown}" 0 ${end} shown)
string(FIND "${program}" "${shown}" position)
if(position EQUAL -1)
  message(FATAL_ERROR "examples/minimal.cc does not hold what README.md shows:\n${shown}")
endif()
