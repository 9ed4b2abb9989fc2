import { invalid } from "../errors.ts";

/** A container's name without its leading slash. Throws INVALID_ARGUMENT with Docker's text. */
export function checkName(name: string): string {
  const bare = name.startsWith("/") ? name.slice(1) : name;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(bare)) {
    throw invalid(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  if (bare.length > 255)
    throw invalid(`Invalid container name (${bare.slice(0, 32)}…): at most 255 characters are allowed`);
  return bare;
}
