/** "6.18.4-amd64" is at least "4.8": by the first two numbers. */
export function atLeast(kernel: string, wanted: string): boolean {
  const [a = 0, b = 0] = kernel.split(/[.-]/).map(Number);
  const [x = 0, y = 0] = wanted.split(".").map(Number);
  return a > x || (a === x && b >= y);
}
