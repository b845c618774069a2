/** Requests to the API of a lab's firewall, through its control socket: a file, so no namespace is in between. */
import { request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { LabError } from './lab-error.ts';

interface ProblemDocument {
  readonly title?: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly path?: string; readonly message?: string }[];
}

/** The body of the answer. @throws LabError with what the firewall says is wrong */
export async function ask(
  socketPath: string,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body?: object,
): Promise<string> {
  const { answer } = open(socketPath, method, path, body);
  const response = await answer;
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += String(piece);
  if (response.statusCode! < 400) return text;
  const { title, detail, errors = [] } = JSON.parse(text) as ProblemDocument;
  const lines = errors.map(({ path: at = '', message = '' }) => `${at}: ${message}`);
  throw new LabError([detail ?? title ?? text, ...lines].join('\n'), `${method} ${path}`);
}

export function open(
  socketPath: string,
  method: string,
  path: string,
  body?: object,
): { readonly sent: ClientRequest; readonly answer: Promise<IncomingMessage> } {
  const headers = {
    accept: 'application/json',
    ...(body !== undefined && { 'content-type': 'application/json' }),
  };
  const sent = request({ socketPath, host: 'localhost', method, path, headers, agent: false });
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    sent.on('response', resolve).on('error', reject);
  });
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  return { sent, answer };
}
