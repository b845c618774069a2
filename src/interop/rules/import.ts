/** Imports a document of any known format. */
import { visible } from '../../text/controls.ts';
import { importDigitalOcean } from './digitalocean.ts';
import { importHetzner } from './hetzner.ts';
import { ImportError } from './import-result.ts';
import type {
  ImportFormat,
  ImportOptions,
  ImportResult,
  ImportedTemplate,
} from './import-result.ts';
import { importIptables } from './iptables.ts';
import { findFirewalls } from './json-fields.ts';

/**
 * @param format undefined: found out from the text
 * @throws {@link ImportError} when the text is no document of the format at all
 */
export function importRules(
  text: string,
  format: ImportFormat | undefined,
  options: ImportOptions,
): ImportResult {
  const result = read(text, format, options);
  return { ...result, templates: result.templates.map(withReadableText) };
}

/** Other firewalls take any text for a comment; a template takes none that a terminal obeys. */
function withReadableText(template: ImportedTemplate): ImportedTemplate {
  const rule = <R extends { readonly comment?: string }>(each: R): R =>
    each.comment === undefined ? each : { ...each, comment: visible(each.comment) };
  return {
    ...template,
    description: visible(template.description),
    inbound: template.inbound.map(rule),
    outbound: template.outbound.map(rule),
  };
}

/** How a line of iptables-save begins. Each character is looked at a few times, whatever the text is. */
const iptablesLine = /^(?:[*#:]|(?:\[\d+:\d+\] ?)?-A)/m;

function read(
  text: string,
  format: ImportFormat | undefined,
  options: ImportOptions,
): ImportResult {
  const looksLikeJson = /^\s*[[{]/.test(text);
  const chosen = format ?? (looksLikeJson ? undefined : 'iptables');
  if (chosen === 'iptables') {
    if (format === undefined && !iptablesLine.test(text)) throw unknownFormat();
    return importIptables(text, options);
  }
  const document = parseJson(text);
  const known = chosen ?? detect(document);
  const importJson = known === 'digitalocean' ? importDigitalOcean : importHetzner;
  const result = importJson(document, options);
  options.onProgress?.(1, 1);
  return result;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ImportError(
      `not valid JSON: ${(error as Error).message}`,
      'expected the JSON that the API of the other firewall gives',
    );
  }
}

/** By the keys of the first firewall: DigitalOcean has a list of rules for each direction, Hetzner one for both. */
function detect(document: unknown): Exclude<ImportFormat, 'iptables'> {
  const first = findFirewalls(document, 'DigitalOcean or Hetzner Cloud')[0]?.firewall;
  if (first !== undefined) {
    if ('inbound_rules' in first || 'outbound_rules' in first) return 'digitalocean';
    if ('rules' in first) return 'hetzner';
  }
  throw unknownFormat();
}

function unknownFormat(): ImportError {
  return new ImportError(
    'this is nothing that can be imported',
    'expected firewalls of DigitalOcean or Hetzner Cloud as JSON, or what iptables-save prints; --format says which',
  );
}
