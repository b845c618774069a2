/**
 * The one error that this folder throws on purpose. `message` says what is wrong and where, `hint`
 * what to do about it; the command line prints both and no stack.
 */
export class GatewayError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GatewayError';
    this.hint = hint;
  }
}
