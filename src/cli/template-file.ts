/** Converts templates between a person's YAML or JSON and the API. */
import { LineCounter, stringify } from 'yaml';
import { parseYaml } from '../policy/parse-yaml.ts';
import type { RuleView, TemplateView } from './api-types.ts';
import { UserError } from './errors.ts';

/** Reads a template's body. The API validates the values. */
export function parseTemplateText(name: string, text: string): Record<string, unknown> {
  const lines = new LineCounter();
  const document = parseYaml(text, { lineCounter: lines });
  const [error] = document.errors;
  const place = name === '-' ? 'standard input' : name;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    const { message } = error;
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

/** The template as a file: only the editable fields. */
export function templateText({ description, appliesTo, inbound, outbound }: TemplateView): string {
  const written = (rule: RuleView): RuleView =>
    Object.fromEntries(
      Object.entries(rule).filter(([key]) => key !== 'hits' && key !== 'expired'),
    ) as RuleView;
  const body = {
    ...(description !== undefined && { description }),
    ...(appliesTo !== undefined && { appliesTo }),
    inbound: inbound.map(written),
    outbound: outbound.map(written),
  };
  return stringify(body, { lineWidth: 0 });
}
