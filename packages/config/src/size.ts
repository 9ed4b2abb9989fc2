const powers = ["", "k", "m", "g", "t", "p"];

/**
 * "10m", "1.5 GiB", "512kb", "4096" to bytes (powers of 1024), as Docker reads sizes (go-units, RAMInBytes). Throws an Error with its words:
 * `invalid size: 'x'`, `invalid suffix: 'x'`.
 */
export function ramInBytes(text: string): number {
  const [, digits = "", rest = ""] = /^(.*[\d. ])(.*)$/s.exec(text) ?? [];
  if (digits === "") throw new Error(`invalid size: '${text}'`);
  const number = digits.endsWith(" ") ? digits.slice(0, -1) : digits;
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(number))
    throw new Error(`strconv.ParseFloat: parsing ${JSON.stringify(number)}: invalid syntax`);
  if (Number(number) < 0) throw new Error(`invalid size: '${text}'`);
  const suffix = rest.length > 3 ? rest : rest.toLowerCase();
  const unit = /^(?:b|([kmgtp])(?:i?b)?|)$/.exec(suffix);
  if (unit === null) throw new Error(`invalid suffix: '${suffix}'`);
  const size = Math.trunc(Number(number) * 1024 ** powers.indexOf(unit[1] ?? ""));
  // Above what any disk has, and what numbers count exactly.
  if (!Number.isSafeInteger(size)) throw new Error(`invalid size: '${text}'`);
  return size;
}
