# Installs a build of embedflow into a scratch prefix, then configures, builds and runs
# tests/install_consumer against it, as a user would.
#
# Usage: cmake -D BUILD=<build folder> -D WORK=<scratch folder> -D COMPILER=<c++>
#              [-D CONFIGURE=<source folder>] -P install_consumer.cmake
# With CONFIGURE the build folder is first configured as a shared library and built. It is
# compiled without optimisation: what is tested is the package.
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}: ${result}\n${output}")
  endif()
endfunction()

if(CONFIGURE)
  run(${CMAKE_COMMAND} -S ${CONFIGURE} -B ${BUILD} -G Ninja -D CMAKE_CXX_COMPILER=${COMPILER}
    -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_FLAGS_DEBUG=-O0 -D BUILD_SHARED_LIBS=ON)
  run(${CMAKE_COMMAND} --build ${BUILD})
endif()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/install_consumer -B ${WORK}/build -G Ninja
  -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer ${WORK}/corpus)
run(${WORK}/prefix/bin/embedflow --version)
