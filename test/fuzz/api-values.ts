/** Values for the fields of requests: right ones, so that something is done, and hostile ones. */

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
}

/** Names and values that the test's store knows. */
const known = [
  ...['web', 'spare', 'web-1', 'db-1', 'owner', 'member', 'test', 'ssh', 'new'],
  ...['inbound', 'outbound', 'tcp', '10.0.0.2', '10.0.0.9', 'any', '443', '0', '1', 'true'],
];
const hostile = [
  ...['', ' ', '.', '..', '../x', '/', '//x', '%', '%zz', '\0', '\n', '\r\nx: y', '\t', "'", '"'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', '-1', '1e0', '0x1', 'NaN', '-0'],
  ...['9'.repeat(30), '2147483648', 'x'.repeat(5000), 'é', '\u202e', '\ud800', '😀', '\u0085'],
  ...['*', '[', ']]]]', '{', '&a', '*a', '!!js/function x', '- a', '#', ': ', '? ', '| ', '---'],
  ...['${1}', '{{1}}', '$(id)', '`id`', '255.255.255.255', '10.0.0.0/0', '0.0.0.0', '::1', '1-0'],
];
const hostileJson: readonly unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e308, -1e-308, 2 ** 53, [], {}, [[]], [null], [{}]],
  ...[{ length: 1e9 }, { name: { name: {} } }, Array(500).fill(0), 'x'.repeat(100_000)],
];

export class ApiValues {
  readonly #random: () => number;
  readonly #schemas: Readonly<Record<string, Schema>>;

  constructor(random: () => number, schemas: Readonly<Record<string, Schema>>) {
    this.#random = random;
    this.#schemas = schemas;
  }

  chance(part: number): boolean {
    return this.#random() < part;
  }

  pick<T>(values: readonly T[]): T {
    return values[Math.floor(this.#random() * values.length)]!;
  }

  /** A value for a body. */
  of(schema: Schema, depth = 0): unknown {
    if (schema.$ref !== undefined) {
      return this.of(this.#schemas[schema.$ref.split('/').at(-1)!] ?? {}, depth);
    }
    if (depth > 8 || this.chance(0.05)) return this.pick(hostileJson);
    if (schema.const !== undefined) return schema.const;
    if (schema.enum !== undefined) return this.chance(0.9) ? this.pick(schema.enum) : this.text();
    if (schema.anyOf !== undefined) return this.of(this.pick(schema.anyOf), depth + 1);
    switch (schema.type) {
      case 'object':
        return this.#object(schema, depth);
      case 'array': {
        const length = this.chance(0.02) ? 1000 : Math.floor(this.#random() * 4);
        return Array.from({ length }, () => this.of(schema.items ?? {}, depth + 1));
      }
      case 'integer':
      case 'number':
        return this.pick([0, 1, 2, 80, 443, 65_535, 65_536, -1, 1.5, 1e21]);
      case 'boolean':
        return this.chance(0.5);
      default:
        return this.text();
    }
  }

  #object(schema: Schema, depth: number): object {
    const { properties = {}, required = [] } = schema;
    const entries = Object.entries(properties)
      .filter(([key]) => this.chance(required.includes(key) ? 0.95 : 0.4))
      .map(([key, each]) => [key, this.of(each, depth + 1)] as const);
    if (this.chance(0.05)) entries.push([this.text(), this.pick(hostileJson)]);
    return Object.fromEntries(entries);
  }

  text(): string {
    return this.chance(0.6) ? this.pick(known) : this.pick(hostile);
  }

  /** For path and query: mostly encoded. */
  urlText(schema: Schema): string {
    const choices = [...(schema.enum ?? []), ...(schema.anyOf ?? []).map((each) => each.const)];
    const words = choices.filter((each) => each !== undefined).map(String);
    const text = words.length > 0 && this.chance(0.7) ? this.pick(words) : this.text();
    const raw = this.chance(0.1) ? text.replaceAll(/[^!-~]/g, '') : undefined;
    // Half a surrogate pair has no encoding: its bytes are those of no text.
    return raw ?? (text === '\ud800' ? '%ED%A0%80' : encodeURIComponent(text));
  }

  /** What may stand in a header. */
  headerText(): string {
    const more = ['"x"', '*', 'W/"x"', 'tunwall_session=x; a=b', 'http://evil.example', 'a, b'];
    const text = this.chance(0.5) ? this.pick(more) : this.text();
    return text.replaceAll(/[^ -~]/g, '');
  }

  /** JSON that is none any more, or says what objects cannot. */
  brokenJson(value: unknown): string {
    const text = JSON.stringify(value);
    const at = Math.floor(this.#random() * text.length);
    return this.pick([
      text.slice(0, at),
      `${text.slice(0, at)}${this.pick(hostile)}${text.slice(at)}`,
      `{"__proto__":${text}}`,
      `{"a":${text},"a":${text}}`,
      `${'['.repeat(100)}${text}${']'.repeat(100)}`,
      ` ${text}\0`,
    ]);
  }
}
