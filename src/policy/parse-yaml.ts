/**
 * YAML within bounds, and in linear time, whatever the text is.
 *
 * The parser calls itself for each level of nesting, and when the stack ends in a regular expression, the process ends with it.
 * So the nesting is limited while the text is read, before anything recursive sees it. A text that cannot be one of our files
 * (too many lines, keys, errors) is not read to its end.
 *
 * The parser's own check for duplicate keys compares every key of a mapping with all others; here a set does it. And each
 * of its errors would capture a stack, at many times the cost of the error; a file of 1 MB can have a million errors.
 */
import { Composer, Document, Lexer, Parser, YAMLParseError, isScalar, visit } from 'yaml';
import type { Alias, CST, DocumentOptions, Node, ParseOptions, SchemaOptions } from 'yaml';

type Options = Omit<ParseOptions, 'prettyErrors' | 'uniqueKeys'> & DocumentOptions & SchemaOptions;

/** A template nests seven deep. */
const maxDepth = 64;
/** More than 65,536 servers of five lines each. */
const maxLines = 350_000;
const maxKeys = 10_000;
const maxItems = 100_000;
/** Of what is the whole file: a mapping of few keys, never a list. */
const maxRootItems = 1000;
const maxErrors = 100;

/** What people write has at most 0.36 tokens a byte. What has more takes the most time and is no configuration. */
const freeTokens = 100_000;
const tokensPerByte = 0.45;

export function parseYaml(text: string, options: Options = {}): Document.Parsed {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const composer = new Composer({ ...options, prettyErrors: false, uniqueKeys: false });
  try {
    limitErrors(composer);
    const document = compose(text, composer, options);
    if (document.errors.length === 0) addDuplicateKeys(document);
    return document;
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const document = new Document(null, options) as unknown as Document.Parsed;
    document.errors.push(...composer.streamInfo().errors, error);
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

/** What the aliases of a document stand for: the nearest anchor of that name before. The library looks through all of it for each. */
export function targetsOf(document: Document.Parsed): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Alias(_key, alias) {
      const target = anchors.get(alias.source);
      if (target !== undefined) targets.set(alias, target);
    },
    Value(_key, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

/** The first document, and an error if there is another one. @throws YAMLParseError for a text beyond the bounds */
function compose(text: string, composer: Composer, options: Options): Document.Parsed {
  requireFewLines(text);
  let first: Document.Parsed | undefined;
  for (const document of composer.compose(tokensOf(text, options), true, text.length)) {
    if (first === undefined) {
      first = document;
      continue;
    }
    const [start, end] = document.range;
    first.errors.push(new YAMLParseError([start, end], 'MULTIPLE_DOCS', 'more than one document'));
    break;
  }
  return first!;
}

type ReportError = (source: unknown, ...rest: unknown[]) => void;

/**
 * The composer has no limit of its own, and its report function is private: `garbage.test.ts` says whether this works.
 * What is thrown is caught and reported for each level of nesting, so it is thrown each time.
 */
function limitErrors(composer: Composer): void {
  const seam = composer as unknown as { onError: ReportError };
  const report = seam.onError;
  let errors = 0;
  seam.onError = (...error) => {
    if (++errors <= maxErrors) report(...error);
    if (errors < maxErrors) return;
    const [at] = composer.streamInfo().errors.at(-1)!.pos;
    throw beyond(at, 'more errors follow: the rest was not read');
  };
}

/** Blanks, line breaks and comments, and the marks that the lexer puts between tokens. */
const isFree = /^[ \t\r\n#\x02\x18\x1f]/;

/** The concrete syntax of a text. @throws YAMLParseError at the first place beyond the bounds */
function* tokensOf(text: string, { lineCounter }: Options): Generator<CST.Token> {
  const parser = new Parser(lineCounter?.addNewLine);
  lineCounter?.addNewLine(0);
  let [errors, tokens] = [0, 0];
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) {
      yield token;
      if (token.type === 'error' && ++errors === maxErrors) return;
    }
    if (!isFree.test(lexeme)) tokens++;
    if (tokens > freeTokens + tokensPerByte * parser.offset) {
      throw beyond(parser.offset, 'more values than a text of this size can mean');
    }
    requireBounds(parser);
  }
  yield* parser.end();
}

function requireBounds({ stack, offset }: Parser): void {
  if (stack.length > maxDepth) throw beyond(offset, `nested more than ${maxDepth} levels deep`);
  const top = stack.at(-1);
  if (top === undefined || !('items' in top) || top.items.length <= maxRootItems) return;
  const isMapping = top.type === 'block-map' || ('start' in top && top.start.source === '{');
  // Below it in the stack is the document.
  const isRoot = stack.length === 2;
  if (isRoot && !isMapping) throw beyond(offset, 'expected a mapping, found a list');
  const [what, mostBelow] = isMapping ? ['keys', maxKeys] : ['items', maxItems];
  const most = isRoot ? maxRootItems : mostBelow;
  if (top.items.length > most) {
    throw beyond(offset, `more than ${most} ${what} in one ${isMapping ? 'mapping' : 'list'}`);
  }
}

function requireFewLines(text: string): void {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (++lines > maxLines) throw beyond(at, `more than ${maxLines} lines`);
  }
}

function beyond(offset: number, message: string): YAMLParseError {
  return new YAMLParseError([offset, offset + 1], 'RESOURCE_EXHAUSTION', message);
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
