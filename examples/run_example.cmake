# Runs one example on a small input and checks what it prints. Called by ctest with PROGRAM, NAME and WORK.
cmake_minimum_required(VERSION 3.25)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
if(NAME STREQUAL "minimal")
  file(WRITE ${WORK}/in.jsonl
    "{\"id\":\"cat\",\"text\":\"a small cat sleeps on the mat\"}\n{\"id\":\"ship\",\"text\":\"the ship sails over the sea\"}\n")
  execute_process(COMMAND ${PROGRAM} ${WORK}/in.jsonl ${WORK}/corpus "cat on a mat"
    OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  set(expected "^0\\.[0-9]+ cat\n")
elseif(NAME STREQUAL "etl_push")
  set(rows "")
  foreach(i RANGE 1 500)
    string(APPEND rows "row-${i}\tthe text of row number ${i}\n")
  endforeach()
  file(WRITE ${WORK}/rows "${rows}no tab in this line\n")
  execute_process(COMMAND ${PROGRAM} ${WORK}/corpus INPUT_FILE ${WORK}/rows
    OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  set(expected "^500 documents read, 500 ingested, 500 chunks committed\n$")
else()
  execute_process(COMMAND ${PROGRAM} ${WORK}/corpus "banana" "syzygy" "bandana"
    OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  set(expected "^0\\.[0-9]+ banana\n")
endif()
if(NOT code EQUAL 0 OR NOT out MATCHES "${expected}")
  message(FATAL_ERROR "${NAME} ended with ${code}\nstdout: ${out}\nstderr: ${err}\nexpected: ${expected}")
endif()
