/** Templates as a person writes them, YAML or JSON, on their way to the API and back. */
import { parseDocument, stringify } from 'yaml';
import type { RuleView, TemplateView } from './api-types.ts';
import { UserError } from './errors.ts';

/** Reads a template's body. What its values may be is for the API to say. */
export function parseTemplateText(name: string, text: string): Record<string, unknown> {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  const place = name === '-' ? 'standard input' : name;
  if (error !== undefined) {
    const [{ line, col }] = error.linePos ?? [{ line: 0, col: 0 }];
    // The rest of yaml's message draws the line.
    const message = error.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, '');
    throw new UserError(
      `${place}:${line}:${col}: ${message}`,
      'expected a template in YAML or JSON',
    );
  }
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  if (value === null) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new UserError(
    `${place} is no template`,
    'expected a mapping with description, inbound and outbound',
  );
}

/** The template as its file might be: only what can be changed. */
export function templateText({ description, inbound, outbound }: TemplateView): string {
  const withoutHits = (rule: RuleView): RuleView => {
    const { hits, ...rest } = rule;
    return hits === undefined ? rule : rest;
  };
  const body = {
    ...(description !== undefined && { description }),
    inbound: inbound.map(withoutHits),
    outbound: outbound.map(withoutHits),
  };
  return stringify(body, { lineWidth: 0 });
}
