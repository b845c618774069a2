/**
 * Bytes of one packet from a hex dump as tools print it: plain digits, and the lines of `tcpdump -x` and `-X`, `xxd`,
 * `hexdump -C`, `od -t x1` and Wireshark, with their offsets and their text columns.
 *
 * A text column may look like bytes ("45 is"). So a row's length is taken from the offset of the next one, and the last row
 * ends where the bytes of the full rows end, at the latest: every tool pads it to that column.
 */

/** `0x0010:`, `00000010:`, or four to eight digits and two blanks. */
const offset = /^\s*(?:0x([0-9a-f]+):|([0-9a-f]{4,8}):|([0-9a-f]{4,8})(?=\s{2}))/i;

/** As `od -t x1` prints it: seven octal digits, or six hexadecimal ones with `-A x`, one blank and a byte. */
const odOffset = /^(?:([0-7]{7})|([0-9a-f]{6}))(?= [0-9a-f]{2}(?:\s|$))/i;

/** What `hexdump` and `od` print by themselves: words, whose two bytes this machine has exchanged. */
const words = /^[0-9a-f]{7} +(?:[0-9a-f]{4}|[0-7]{6})(?:\s|$)/i;

/** What `hexdump -C` and `od` end with: the offset behind the last byte, alone on its line. */
const endLine = /^[0-9a-f]{6,8}$/i;

/** More than the longest packet, so that a wrong offset cannot make much of a `*`. */
const maxLength = 0x1_0000;

interface Row {
  /** Counted from 1. */
  readonly lineNumber: number;
  readonly at: number;
  /** What stands behind the offset. */
  readonly body: string;
  /** The line below is a `*`: this row is repeated up to the next offset. */
  repeats: boolean;
}

interface Failure {
  readonly message: string;
}

/** The bytes, or what is wrong with the text. */
export function parseHexDump(text: string): Uint8Array | Failure {
  let digits = '';
  const rows: Row[] = [];
  let base = 16;
  for (const [index, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    const last = rows.at(-1);
    if (words.test(line)) {
      return { message: `line ${index + 1}: words, not bytes: use hexdump -C, xxd or od -t x1` };
    }
    const found = offset.exec(line) ?? odOffset.exec(line);
    const end = parseInt(trimmed, base);
    if (found !== null) {
      const at = found[1] ?? found[2] ?? found[3]!;
      base = odOffset.exec(line)?.[1] === undefined ? 16 : 8;
      const body = line.slice(found[0].length);
      rows.push({ lineNumber: index + 1, at: parseInt(at, base), body, repeats: false });
    } else if (last !== undefined && trimmed === '*') last.repeats = true;
    else if (last !== undefined && endLine.test(trimmed) && isBehind(last, end)) {
      rows.push({ lineNumber: index + 1, at: end, body: '', repeats: false });
    } else if (isHex(compact(line))) digits += compact(line);
    // The headline of tcpdump, and comments of people, stand before the bytes.
    else if (digits !== '' || last !== undefined) return notHex(index + 1, trimmed);
  }
  const bytes = rows.length === 0 ? digits : bytesOf(rows);
  if (typeof bytes !== 'string') return bytes;
  if (rows.length > 0 && digits !== '') {
    return { message: 'expected an offset on every line, or on none' };
  }
  if (bytes === '') return { message: 'expected hexadecimal digits, found none' };
  if (bytes.length % 2 !== 0) return { message: 'an odd number of hexadecimal digits' };
  return Uint8Array.from(Buffer.from(bytes, 'hex'));
}

function isBehind({ at, body, repeats }: Row, end: number): boolean {
  const length = end - at;
  return length > 0 && (repeats || length * 2 <= body.length);
}

function bytesOf(rows: readonly Row[]): string | Failure {
  const origin = rows[0]!.at;
  let digits = '';
  let edge = Infinity;
  for (const [index, row] of rows.entries()) {
    const next = rows[index + 1];
    const length = next === undefined || row.repeats ? 0 : next.at - row.at;
    const whole = length > 0 ? leadingBytes(row.body, length) : undefined;
    if (whole !== undefined) edge = whole.length;
    const own = compact(whole ?? withoutText(row.body.slice(0, edge)));
    if (isReversed(row.body, own)) {
      return {
        message: `line ${row.lineNumber}: the bytes of each group stand in reverse, as xxd -e prints them: use xxd without -e`,
      };
    }
    if (!isHex(own)) return notHex(row.lineNumber, row.body.trim());
    digits += own;
    const end = next === undefined ? 0 : 2 * Math.min(next.at - origin, maxLength);
    while (row.repeats && own !== '' && digits.length < end) digits += own;
  }
  return digits;
}

/** The start of a row that has so many bytes, if it is all bytes. */
function leadingBytes(body: string, length: number): string | undefined {
  let rest = body;
  for (let found = 0; found < length; found++) {
    const byte = /^[\s:,]*[0-9a-f]{2}/i.exec(rest)?.[0];
    if (byte === undefined) return undefined;
    rest = rest.slice(byte.length);
  }
  return /^(?:\s|\||$)/.test(rest) ? body.slice(0, body.length - rest.length) : undefined;
}

/** For a row whose length is not known: what stands in `|` or behind two blanks and is no byte goes. */
function withoutText(body: string): string {
  return body.replace(/\|.*$/, '').replace(/(?<=[0-9a-f])\s{2,}(?![0-9a-f]{2}(?:\s|$)).*$/i, '');
}

/**
 * Whether the text column says that each group of bytes is written from its end. Nothing else tells `xxd -e` from `xxd -g 4`.
 *
 * @param digits of the row's bytes, if it is one of the usual kind
 */
function isReversed(body: string, digits: string): boolean {
  // The last group of a row that is not full has blanks before it.
  const groups = /^(?: +[0-9a-f]+)+(?= {2})/i.exec(body.slice(0, body.length - digits.length / 2));
  if (groups === null) return false;
  const text = body.slice(groups[0].length + 2);
  const written = groups[0]
    .trim()
    .split(/ +/)
    .map((each) => Buffer.from(each, 'hex'));
  if (written.every(({ length }) => length < 2)) return false;
  const says = (bytes: readonly Buffer[]): boolean =>
    Buffer.concat(bytes)
      .toString('latin1')
      .replaceAll(/[^ -~]/g, '.')
      .trimEnd() === text.trimEnd();
  return !says(written) && says(written.map((each) => Buffer.from(each).reverse()));
}

function compact(text: string): string {
  return text.replaceAll(/0x|[\s:,]/g, '');
}

function isHex(text: string): boolean {
  return /^[0-9a-f]*$/i.test(text);
}

function notHex(lineNumber: number, found: string): Failure {
  return { message: `line ${lineNumber}: expected hexadecimal digits, found "${found}"` };
}
