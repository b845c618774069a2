/** `inbound[1].sources[0]` as people count: `inbound rule 2, sources`. */
export function placeText(path: string): string {
  const rule = /^(inbound|outbound)\[(\d+)\]\.(\w+)/.exec(path);
  if (rule !== null) return `${rule[1]!} rule ${Number(rule[2]) + 1}, ${rule[3]!}`;
  return path.replace(/\[\d+\]$/, '');
}
