/* A driver that reports one GPU, an H100, and can do nothing with it: for the tests, compiled as libcuda.so.1. */
#include <string.h>
int cuInit(unsigned f){return 0;}
int cuDriverGetVersion(int*v){*v=13000;return 0;}
int cuDeviceGetCount(int*c){*c=1;return 0;}
int cuDeviceGet(int*d,int i){*d=0;return 0;}
int cuDeviceGetName(char*n,int l,int d){strncpy(n,"NVIDIA H100 (stub)",l);return 0;}
int cuDeviceGetAttribute(int*v,int a,int d){*v=(a==75)?9:0;return 0;}
int cuDeviceTotalMem_v2(unsigned long*b,int d){*b=80UL<<30;return 0;}
int cuGetErrorName(int e,const char**s){*s="CUDA_ERROR_STUB";return 0;}
int cuTensorMapEncodeTiled(void){return 100;}
int cuDeviceGetPCIBusId(char*s,int l,int d){return 100;}
