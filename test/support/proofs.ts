/** A table cell that names tests: "`test/unit/x.test.ts` what it says <br> `test/…` …". */
import { exists, readText } from './documents.ts';

/** Proofs of a cell that lead nowhere: no such file, or no such words in it. */
export function brokenProofs(cell: string): string[] {
  return cell.split(' <br> ').filter((proof) => {
    const { file, title } = /`(?<file>test\/[^`]+)` (?<title>.+)$/.exec(proof)?.groups ?? {};
    const isThere = file !== undefined && title !== undefined && exists(file);
    return !isThere || !title.split('%s').every((part) => readText(file).includes(part));
  });
}
