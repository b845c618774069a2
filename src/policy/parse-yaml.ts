/**
 * YAML in linear time, whatever the text is.
 *
 * The parser's own check for duplicate keys compares every key of a mapping with all others; here a set does it. And each
 * of its errors would capture a stack, at many times the cost of the error; a file of 1 MB can have a million errors.
 */
import { YAMLParseError, isScalar, parseDocument, visit } from 'yaml';
import type { Document, DocumentOptions, ParseOptions, SchemaOptions } from 'yaml';

type Options = Omit<ParseOptions, 'prettyErrors' | 'uniqueKeys'> & DocumentOptions & SchemaOptions;

export function parseYaml(text: string, options: Options = {}): Document.Parsed {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    const document = parseDocument(text, { ...options, prettyErrors: false, uniqueKeys: false });
    if (document.errors.length === 0) addDuplicateKeys(document);
    return document;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What a text says. @throws the first error */
export function yamlValue(text: string): unknown {
  const document = parseYaml(text);
  const [error] = document.errors;
  if (error !== undefined) throw error;
  return document.toJS() as unknown;
}

function addDuplicateKeys(document: Document.Parsed): void {
  visit(document, {
    Map(_key, { items }) {
      const keys = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (keys.has(key.value)) {
          const [start = 0, end = 0] = key.range ?? [];
          document.errors.push(
            new YAMLParseError([start, end], 'DUPLICATE_KEY', 'Map keys must be unique'),
          );
        }
        keys.add(key.value);
      }
    },
  });
}
