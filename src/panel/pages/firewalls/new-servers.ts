/** Servers that are added together with a new firewall: as typed or pasted, and what the API says is wrong with them. */
import { locate } from '../../data/changes.ts';
import type { Operation } from '../../data/changes.ts';
import type { FieldError } from '../../data/types.ts';

export const serverFields = ['name', 'addresses', 'region', 'labels'] as const;
export type ServerField = (typeof serverFields)[number];

/** As typed; lists with commas or blanks. */
export type NewServer = { readonly key: number } & Readonly<Record<ServerField, string>>;

const counter = { last: 0 };

export function newServer(values: Partial<Record<ServerField, string>> = {}): NewServer {
  return { key: ++counter.last, name: '', addresses: '', region: '', labels: '', ...values };
}

function listed(text: string): string[] {
  return text.split(/[,;\s]+/).filter((part) => part !== '');
}

const looksLikeAddress = /^\d+(\.\d+){3}(\/\d+)?$/;

/**
 * One server a line: its name, addresses, perhaps a region, and labels (`key=value`), with blanks, tabs or commas between. Empty lines
 * and what follows a `#` are passed over.
 */
export function parseServers(text: string): { servers: NewServer[]; errors: string[] } {
  const servers: NewServer[] = [];
  const errors: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const [name, ...words] = listed(line.replace(/#.*/, ''));
    if (name === undefined) continue;
    const addresses = words.filter((word) => looksLikeAddress.test(word));
    const labels = words.filter((word) => word.includes('='));
    const others = words.filter((word) => !addresses.includes(word) && !labels.includes(word));
    const [region = '', more] = others;
    const wrong = looksLikeAddress.test(name)
      ? `a name comes first, not ${name}`
      : addresses.length === 0
        ? `${name} has no address`
        : more === undefined
          ? undefined
          : `${more} is no address and no label (key=value), and ${region} is the region already`;
    if (wrong !== undefined) errors.push(`line ${index + 1}: ${wrong}`);
    const texts = { addresses: addresses.join(', '), labels: labels.join(', ') };
    servers.push(newServer({ name, region, ...texts }));
  }
  return { servers, errors };
}

/** Rows in which nothing was typed are none. */
export function meant(servers: readonly NewServer[]): readonly NewServer[] {
  return servers.filter((server) => serverFields.some((field) => server[field].trim() !== ''));
}

/** @param template is there already, or made by an operation before */
export function creationOf(server: NewServer, template: string): Operation {
  const pairs = listed(server.labels).map((label) => {
    const [key = '', ...value] = label.split('=');
    return [key, value.join('=')] as const;
  });
  const name = server.name.trim();
  const region = server.region.trim();
  const body = {
    ...{ name, addresses: listed(server.addresses), templates: [template] },
    ...(region !== '' && { region }),
    ...(pairs.length > 0 && { labels: Object.fromEntries(pairs) }),
  };
  return { kind: 'create-server', name, body };
}

export type ServerErrors = ReadonlyMap<string, string>;

export const errorKey = ({ key }: NewServer, field: ServerField): string => `${key} ${field}`;

/**
 * @param errors of a change whose first operation makes the firewall, and the next ones these servers
 * @returns by row and field; and those of nothing that there is here
 */
export function serverErrors(
  errors: readonly FieldError[],
  servers: readonly NewServer[],
): { rows: ServerErrors; others: readonly FieldError[] } {
  const rows = new Map<string, string>();
  const others: FieldError[] = [];
  for (const error of errors) {
    const found = locate(error);
    const server = found && servers[found.operation - 1];
    const field = serverFields.find((each) => found?.path.split(/[.[]/)[0] === each);
    if (found === undefined || server === undefined) others.push(error);
    else {
      const key = errorKey(server, field ?? 'name');
      rows.set(key, [rows.get(key), error.message].filter(Boolean).join('; '));
    }
  }
  return { rows, others };
}

/** Names that are taken, or written twice. */
export function nameErrors(
  servers: readonly NewServer[],
  taken: ReadonlySet<string>,
): ServerErrors {
  const errors = new Map<string, string>();
  const seen = new Set<string>();
  for (const server of servers) {
    const name = server.name.trim();
    const key = errorKey(server, 'name');
    if (taken.has(name)) errors.set(key, `there is a server "${name}" already`);
    else if (seen.has(name)) errors.set(key, `"${name}" is written twice`);
    seen.add(name);
  }
  return errors;
}
