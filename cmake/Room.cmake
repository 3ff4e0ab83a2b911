# zimage_room(NAME [DEPENDS rooms...] [LIBRARIES libs...] [TEST_DEPENDS rooms...]
#             [WITHOUT regex...])
#
# One folder of src/ as one static library zimage_<name>, from every .cc file in it but main.cc. The
# name is the folder's path below src/ with "/" as "_" (backend/cpu is backend_cpu). DEPENDS are the
# rooms it includes; tools/check_layers.py holds them against the dependency rule. Files named
# x_test.cc become the test program <name>_test, which runs under the ctest label "unit" and may use
# the rooms of TEST_DEPENDS too. Files whose path matches one of WITHOUT are left out.
function(zimage_room name)
  cmake_parse_arguments(ROOM "" "" "DEPENDS;LIBRARIES;TEST_DEPENDS;WITHOUT" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  foreach(regex ${ROOM_WITHOUT})
    list(FILTER sources EXCLUDE REGEX ${regex})
  endforeach()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  add_library(zimage_${name} STATIC ${sources})
  target_include_directories(zimage_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/zimage>)
  target_compile_features(zimage_${name} PUBLIC cxx_std_20)
  list(TRANSFORM ROOM_DEPENDS PREPEND zimage_)
  list(TRANSFORM ROOM_TEST_DEPENDS PREPEND zimage_)
  target_link_libraries(zimage_${name} PUBLIC ${ROOM_DEPENDS} PRIVATE ${ROOM_LIBRARIES})
  zimage_warnings(zimage_${name})
  set_property(GLOBAL APPEND PROPERTY ZIMAGE_ROOMS zimage_${name})
  if(ZIMAGE_TESTS AND tests)
    zimage_test(${name}_test LABEL unit SOURCES ${tests}
                DEPENDS zimage_${name} ${ROOM_TEST_DEPENDS} ${ROOM_LIBRARIES})
  endif()
endfunction()

# zimage_test(NAME LABEL label SOURCES files... DEPENDS targets...): a GoogleTest program, run case by case.
# The target LABEL_tests builds all of a label.
function(zimage_test name)
  cmake_parse_arguments(TEST "" "LABEL" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${TEST_DEPENDS} nlohmann_json::nlohmann_json GTest::gmock_main)
  target_compile_definitions(${name} PRIVATE ZIMAGE_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  if(ZIMAGE_QWEN3_TOKENIZER)
    target_compile_definitions(${name} PRIVATE ZIMAGE_QWEN3_TOKENIZER="${ZIMAGE_QWEN3_TOKENIZER}")
  endif()
  zimage_warnings(${name})
  zimage_compile_quickly(${name})
  if(NOT TARGET ${TEST_LABEL}_tests)
    add_custom_target(${TEST_LABEL}_tests)
  endif()
  add_dependencies(${TEST_LABEL}_tests ${name})
  include(GoogleTest)
  gtest_discover_tests(${name} PROPERTIES LABELS ${TEST_LABEL} DISCOVERY_MODE PRE_TEST)
endfunction()

function(zimage_warnings target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion
    $<$<BOOL:${ZIMAGE_WERROR}>:-Werror>>)
endfunction()

# For code that is not in anybody's way when it runs: two thirds of the time to compile. GCC finds members of
# an empty std::optional uninitialized unless it optimises all the way.
function(zimage_compile_quickly target)
  target_compile_options(${target} PRIVATE
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-O1;-Wno-maybe-uninitialized>)
endfunction()
