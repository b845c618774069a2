/**
 * Bytes of one packet from a hex dump as tools print it: plain digits, and the lines of `tcpdump -x` and `-X`, `xxd`,
 * `hexdump -C` and Wireshark, with their offsets and their text columns.
 */

/** An offset at the start of a line: `0x0010:`, `00000010:`, or four to eight digits and two blanks. */
const offset = /^\s*(?:0x[0-9a-f]+:|[0-9a-f]{4,8}:|[0-9a-f]{4,8}(?=\s{2}))/i;

/** The text column of hexdump -C, and what tcpdump -X, xxd and Wireshark print behind two or more blanks. */
function withoutText(line: string): string {
  return line.replace(/\|.*$/, '').replace(/(?<=[0-9a-f])\s{2,}(?![0-9a-f]{2}(?:\s|$)).*$/i, '');
}

/** Returns the bytes, or the error in the text. */
export function parseHexDump(text: string): Uint8Array | { readonly message: string } {
  let digits = '';
  for (const [index, line] of text.split('\n').entries()) {
    const prefix = offset.exec(line)?.[0];
    const body = prefix === undefined ? line : withoutText(line.slice(prefix.length));
    const compact = body.replaceAll(/0x|[\s:,]/g, '');
    if (!/^[0-9a-f]*$/i.test(compact)) {
      // tcpdump's header line and comments may stand before the bytes.
      if (digits === '' && prefix === undefined) continue;
      return { message: `line ${index + 1}: expected hexadecimal digits, found "${line.trim()}"` };
    }
    digits += compact;
  }
  if (digits === '') return { message: 'expected hexadecimal digits, found none' };
  if (digits.length % 2 !== 0) return { message: 'an odd number of hexadecimal digits' };
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}
