/** What a file packed with bzip2 begins with. */
export const bzip2 = Buffer.from("BZh91AY&SY", "latin1");
