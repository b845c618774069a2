/** A sum of words that lie in a file: it is there for damage, not for an enemy, who could write the sum as well. */

/** FNV-1a by words, as a signed integer: no change of one word leaves it the same. @param sum of words before */
export function sumOf(words: Int32Array, sum = 0x811c9dc5): number {
  let result = sum;
  for (let at = 0; at < words.length; at++) result = Math.imul(result ^ words[at]!, 0x01000193);
  return result;
}
