import { randomBytes, randomInt } from "node:crypto";

/** A container's, exec's or endpoint's id: 64 hexadecimal digits. Never all digits in its first 12, as Docker takes care. */
export function newId(): string {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    // A short id serves as a host name, and one of digits alone is taken for a number there.
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** A locally administered unicast address. */
export function newMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfe) | 0x02;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

const moods = [
  "agile", "amber", "ample", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "cheerful", "civil", "clever",
  "cosmic", "cozy", "crisp", "curious", "dapper", "daring", "deft", "eager", "earnest", "easy", "fair", "fancy", "fearless",
  "festive", "fine", "fleet", "fond", "frank", "fresh", "gallant", "gentle", "glad", "golden", "graceful", "grand", "happy",
  "hardy", "hearty", "honest", "humble", "jolly", "jovial", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow",
  "merry", "mighty", "modest", "neat", "nimble", "noble", "patient", "plucky", "polite", "prompt", "proud", "quick", "quiet",
  "rapid", "ready", "robust", "serene", "sharp", "silent", "smart", "snug", "solid", "sound", "spry", "stable", "steady",
  "stoic", "strong", "sturdy", "sunny", "swift", "tidy", "trusty", "vivid", "warm", "wise", "witty", "zesty",
] as const;
const things = [
  "anchor", "astrolabe", "barge", "barnacle", "beacon", "binnacle", "bollard", "boom", "bosun", "bow", "bowline", "breakwater",
  "brig", "buoy", "capstan", "caravel", "chart", "cleat", "clipper", "cockpit", "compass", "corvette", "cutter", "davit", "deck",
  "dhow", "dinghy", "dock", "ferry", "fender", "fjord", "frigate", "galleon", "galley", "gangway", "gull", "halyard", "harbor",
  "hatch", "hawser", "heron", "hull", "jetty", "jib", "junk", "kayak", "keel", "ketch", "lagoon", "lantern", "launch", "lighter",
  "locker", "lugger", "marina", "mast", "mizzen", "mooring", "oar", "osprey", "packet", "pelican", "pier", "pilot", "pinnace",
  "porthole", "quay", "rigging", "rudder", "sail", "schooner", "sextant", "shoal", "skiff", "slipway", "sloop", "spar", "starboard",
  "stern", "strait", "tackle", "tender", "tide", "tiller", "topsail", "transom", "trawler", "tug", "wake", "wharf", "windlass", "yawl",
] as const;

/** A name for a container that was given none. From the third attempt on with a number, so that one is found in the end. */
export function randomName(attempt: number): string {
  const name = `${moods[randomInt(moods.length)]}_${things[randomInt(things.length)]}`;
  return attempt < 2 ? name : `${name}${randomInt(10 ** Math.min(attempt, 9))}`;
}
