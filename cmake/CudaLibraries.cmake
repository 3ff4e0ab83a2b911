# zimage_cuda: the CUDA runtime (static) and cuBLASLt, from a toolkit or from a folder of unpacked wheels.
#
# ZIMAGE_CUDA_WHEELS names a folder that holds nvidia/cu13/{include,lib}, as tools/fetch_cuda_wheels.sh makes
# it and as site-packages of a PyTorch for CUDA 13 is.
set(ZIMAGE_CUDA_WHEELS "" CACHE PATH "Folder of unpacked nvidia-* wheels, for what the CUDA toolkit lacks")

find_package(CUDAToolkit 13.0 REQUIRED)
set(zimage_cuda_hints ${ZIMAGE_CUDA_WHEELS}/nvidia/cu13 ${CMAKE_BINARY_DIR}/cuda-wheels/nvidia/cu13
    ${CMAKE_SOURCE_DIR}/build/cuda-wheels/nvidia/cu13)
find_path(ZIMAGE_CUBLASLT_INCLUDE cublasLt.h HINTS ${zimage_cuda_hints} ${CUDAToolkit_INCLUDE_DIRS}
          PATH_SUFFIXES include)
find_library(ZIMAGE_CUBLASLT_LIBRARY NAMES cublasLt libcublasLt.so.13
             HINTS ${zimage_cuda_hints} ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib lib64)
if(NOT ZIMAGE_CUBLASLT_INCLUDE OR NOT ZIMAGE_CUBLASLT_LIBRARY)
  message(FATAL_ERROR "ZIMAGE_CUDA needs cuBLASLt 13: install it with the CUDA toolkit, or run "
                      "tools/fetch_cuda_wheels.sh, or set ZIMAGE_CUDA_WHEELS")
endif()
add_library(zimage_cuda INTERFACE)
target_include_directories(zimage_cuda SYSTEM INTERFACE
                           $<BUILD_INTERFACE:${ZIMAGE_CUBLASLT_INCLUDE}> $<BUILD_INTERFACE:${CUDAToolkit_INCLUDE_DIRS}>)
target_link_libraries(zimage_cuda INTERFACE CUDA::cudart_static ${ZIMAGE_CUBLASLT_LIBRARY})
set_property(GLOBAL APPEND PROPERTY ZIMAGE_ROOMS zimage_cuda)
