/** `store` in gateway.yaml: where the policy lies, if it does not lie in the configuration directory. */
import type { EtcdConfig } from './types.ts';
import { parsed } from './validate.ts';
import { entries, list, mapping, text } from './yaml-fields.ts';
import type { Field } from './yaml-fields.ts';

const endpointWords =
  'the address of a member for clients: https://HOST:PORT, or http:// on loopback';

/** Policy and password hashes do not go over a network in the clear. */
const endpoint: Field<string> = parsed(endpointWords, (value) => {
  const wrong = { message: `expected ${endpointWords}; found "${value}"` };
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    return wrong;
  }
  const { protocol, hostname, port, pathname, search, hash, username, password } = url;
  const more = [search, hash, username, password].some((part) => part !== '') || pathname !== '/';
  const isLocal = /^127\.\d+\.\d+\.\d+$|^localhost$|^\[::1\]$/.test(hostname);
  const isAllowed = protocol === 'https:' || (protocol === 'http:' && isLocal);
  return port !== '' && !more && isAllowed ? { value: url.origin } : wrong;
});

const filePath = text('an absolute path of a file', /^\/./);

const etcdFields = mapping<EtcdConfig>(
  'the settings of an etcd cluster',
  {
    endpoints: list('endpoints', endpoint, 'expected at least one endpoint'),
    prefix: text(
      'a path like /tunwall/production: letters, digits, "-", "_" and "."',
      /^(?:\/[A-Za-z0-9_.-]+){1,8}$/,
    ),
    ca: filePath,
    cert: filePath,
    key: filePath,
    user: text('the name of a user of etcd', /^[\x21-\x7e]{1,128}$/),
    passwordFile: filePath,
  },
  ['endpoints'],
);

type WithDefault = Omit<EtcdConfig, 'prefix'> & { readonly prefix?: string };

/** What goes together is there together. */
const etcd: Field<EtcdConfig> = (place) => {
  const value: WithDefault | undefined = etcdFields(place);
  if (value === undefined) return undefined;
  const pairs = [
    ['cert', 'key'],
    ['user', 'passwordFile'],
  ] as const;
  for (const [one, other] of pairs) {
    if ((value[one] === undefined) === (value[other] === undefined)) continue;
    const [there, missing] = value[one] === undefined ? [other, one] : [one, other];
    const { file, node, path } = entries(place, '')!.get(there)!;
    file.report(node, path, `"${there}" needs "${missing}" beside it`);
    return undefined;
  }
  return { prefix: '/tunwall', ...value };
};

export const store: Field<{ etcd: EtcdConfig }> = mapping<{ etcd: EtcdConfig }>(
  'where the policy lies',
  { etcd },
  ['etcd'],
);
