/**
 * An error in a capture file, with its place: the one error that reading or writing a capture throws.
 *
 * It is meant for the user (`hint`, see src/cli/errors.ts): files come from anywhere and may hold anything.
 */
export class CaptureError extends Error {
  override name = 'CaptureError';
  readonly file: string;
  /** Byte of the file at which the record starts that is wrong; undefined if it is the file as a whole. */
  readonly offset: number | undefined;
  readonly hint: string | undefined;

  constructor(file: string, offset: number | undefined, problem: string, hint?: string) {
    super(offset === undefined ? `${file}: ${problem}` : `${file}: byte ${offset}: ${problem}`);
    this.file = file;
    this.offset = offset;
    this.hint = hint;
  }
}
