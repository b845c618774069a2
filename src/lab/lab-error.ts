/** What stands in the way of a lab, and what helps. */
export class LabError extends Error {
  override name = 'LabError';
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}
