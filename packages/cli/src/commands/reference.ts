/** "host:5000/name:tag" as name and tag; a digest stays with the name's other part. */
export function splitReference(text: string): { name: string; tag: string } {
  const at = text.indexOf("@");
  if (at !== -1) return { name: text.slice(0, at), tag: text.slice(at + 1) };
  const colon = text.lastIndexOf(":");
  if (colon === -1 || text.slice(colon).includes("/")) return { name: text, tag: "" };
  return { name: text.slice(0, colon), tag: text.slice(colon + 1) };
}
