# Plants one violation at a time in a small tree and expects architecture.cmake to name it.
# Usage: cmake -D WORK=<scratch folder> -P architecture_violations.cmake
cmake_minimum_required(VERSION 3.25)

# Makes the clean tree that every case starts from.
function(make_tree)
  file(REMOVE_RECURSE ${WORK})
  file(WRITE ${WORK}/include/embedflow/status.h "#include <string>\n")
  file(WRITE ${WORK}/base/log.h "#include \"embedflow/status.h\"\n")
  file(WRITE ${WORK}/base/log.cc "#include \"base/log.h\"\n\n#include <vector>\n#include <sys/stat.h>\n")
  file(WRITE ${WORK}/base/hash.cc
    "#include <openssl/evp.h>\nreturn status.WithWord(\"disk_full\");\n")
  file(WRITE ${WORK}/pipeline/graph.cc "#include <tbb/flow_graph.h>\n#include \"corpus/open.h\"\n")
  file(WRITE ${WORK}/corpus/open.h "#include \"store/store.h\"\n")
  file(WRITE ${WORK}/store/store.h "#include \"base/log.h\"\n")
  file(WRITE ${WORK}/cli/main.cc "#include <CLI/CLI.hpp>\n#include \"embedflow/status.h\"\n")
  file(WRITE ${WORK}/tests/store/store_test.cc
    "#include <gtest/gtest.h>\n#include <sqlite3.h>\n#include \"store/store.h\"\n")
  file(WRITE ${WORK}/docs/errors.md "`disk_full`: no room\n")
  file(WRITE ${WORK}/targets.txt "target embedflow\nsource base/log.cc\nsource base/hash.cc\n"
    "source pipeline/graph.cc\nsource cli/main.cc\nsource tests/store/store_test.cc\n")
endfunction()

function(check out)
  execute_process(
    COMMAND ${CMAKE_COMMAND} -D ROOT=${WORK} -D TARGETS=${WORK}/targets.txt
            -P ${CMAKE_CURRENT_LIST_DIR}/architecture.cmake
    RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(${out} "${output}" PARENT_SCOPE)
  set(result ${result} PARENT_SCOPE)
endfunction()

# Appends `text` to `file` of a clean tree; the check must then fail with `expected` in its words.
function(expect_violation file text expected)
  make_tree()
  file(APPEND ${WORK}/${file} "${text}\n")
  check(output)
  string(FIND "${output}" "${expected}" position)
  if(result EQUAL 0 OR position EQUAL -1)
    message(SEND_ERROR "'${text}' in ${file}: expected '${expected}', got ${result}:\n${output}")
  endif()
endfunction()

make_tree()
check(output)
if(NOT result EQUAL 0)
  message(SEND_ERROR "The clean tree does not pass:\n${output}")
endif()

# Up, across, and past the public headers.
expect_violation(base/log.cc "#include \"store/store.h\"" "base may not include")
expect_violation(store/store.h "#include \"vector/index.h\"" "store may not include")
expect_violation(store/store.h "#include <stages/chunker.h>" "store may not include")
expect_violation(corpus/open.h "#  include \"pipeline/graph.h\"" "corpus may not include")
expect_violation(pipeline/graph.cc "#include \"tests/fakes/clock.h\"" "pipeline may not include")
expect_violation(cli/main.cc "#include \"base/log.h\"" "cli may not include")
expect_violation(include/embedflow/status.h "#include \"base/log.h\"" "include may not include")
expect_violation(base/log.cc "#include \"log_sink.h\"" "neither written from the root")
expect_violation(base/log.cc "#include \"../store/store.h\"" "neither written from the root")
# Libraries away from home.
expect_violation(store/store.h "#include <tbb/task_arena.h>" "has its home in pipeline")
expect_violation(base/log.cc "#include <openssl/sha.h>" "has its home in base/hash.cc")
expect_violation(corpus/open.h "#include <sqlite3.h>" "has its home in store")
expect_violation(tests/store/store_test.cc "#include <curl/curl.h>" "has its home in providers")
expect_violation(base/log.cc "#include <boost/any.hpp>" "known to have a home")
expect_violation(include/embedflow/status.h "#include <curl/curl.h>" "public header may not include")
# Files and targets.
expect_violation(base/orphan.cc "int orphan;" "base/orphan.cc: belongs to no target")
expect_violation(tests/base/orphan_test.cc "int orphan;" "orphan_test.cc: belongs to no target")
expect_violation(store/store.cc "#include <string>\n#include \"store/store.h\"" "before its own header")
expect_violation(vector/vector.h "int vector;" "no file is called vector")
expect_violation(targets.txt "target vector" "no target or output is called vector")
expect_violation(base/log.cc "return status.WithWord(\"moonstruck\")\;"
  "docs/errors.md does not explain the word moonstruck")
