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
elseif(NAME STREQUAL "optimization_demo")
  # Short texts, so that the caps of a request by tokens and bytes stay out of it.
  execute_process(COMMAND ${PROGRAM} --measure 300
    OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  set(expected "")
  foreach(line
      "Requests a minute: No limit" "Tokens a minute:   500,000" "Timeout:           120 s"
      "OpenAI +2,048 texts a request +3 requests" "Mistral +128 texts a request +40 requests"
      "Azure +2,048 texts a request +3 requests" "Local +32 texts a request +157 requests"
      "OpenAI +1,000, 2,000, 4,000 +total +7,000 ms" "Mistral +500, 1,000, 2,000 +total +3,500 ms"
      "High reliability +2,000, 4,000, 8,000, 16,000, 32,000 +total +62,000 ms"
      "Cost-optimized +500, 1,000 +total +1,500 ms"
      "OpenAI +300 texts +1 requests" "Mistral +300 texts +3 requests"
      "Azure +300 texts +1 requests" "Local +300 texts +10 requests")
    if(NOT out MATCHES "${line}")
      message(FATAL_ERROR "optimization_demo does not print: ${line}\n${out}\n${err}")
    endif()
  endforeach()
else()
  execute_process(COMMAND ${PROGRAM} ${WORK}/corpus "banana" "syzygy" "bandana"
    OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
  set(expected "^0\\.[0-9]+ banana\n")
endif()
if(NOT code EQUAL 0 OR NOT out MATCHES "${expected}")
  message(FATAL_ERROR "${NAME} ended with ${code}\nstdout: ${out}\nstderr: ${err}\nexpected: ${expected}")
endif()
