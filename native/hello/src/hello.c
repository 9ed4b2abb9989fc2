// The program of hello-berth: no library, no file, no memory but its own few pages, so that the image needs nothing else.

#if defined(__x86_64__)
static long syscall3(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}
enum { SYS_WRITE = 1, SYS_EXIT_GROUP = 231 };
#elif defined(__aarch64__)
static long syscall3(long number, long a, long b, long c) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
}
enum { SYS_WRITE = 64, SYS_EXIT_GROUP = 94 };
#else
#error "hello-berth is written for x86_64 and aarch64"
#endif

static const char greeting[] =
    "\n"
    "  Hello from Berth!\n"
    "\n"
    "  This text was printed by a container. The gateway took the request, the image store gave\n"
    "  the image, the snapshotter its root file system, and the supervisor ran it isolated.\n"
    "\n";

void _start(void) {
  const char *rest = greeting;
  long left = sizeof(greeting) - 1;
  while (left > 0) {
    const long written = syscall3(SYS_WRITE, 1, (long)rest, left);
    if (written <= 0) break;
    rest += written;
    left -= written;
  }
  syscall3(SYS_EXIT_GROUP, left > 0, 0, 0);
  __builtin_unreachable();
}
