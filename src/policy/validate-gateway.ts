/** The format of gateway.yaml, field by field. */
import { defaultFastPath, fastPathModes } from '../system/fast-path.ts';
import { defaultTimeoutSeconds, maxTimeoutSeconds } from '../dataplane/flow/timeouts.ts';
import type { TimeoutName } from '../dataplane/flow/timeouts.ts';
import { parsePeer as parseRange } from './addresses.ts';
import { defaultReject } from './reject.ts';
import type {
  AddressRange,
  FlowLogConfig,
  GatewayConfig,
  Listen,
  RejectSettings,
} from './types.ts';
import { store } from './validate-etcd.ts';
import { namePattern, nameWords, parsed, read } from './validate.ts';
import type { Validated } from './validate.ts';
import {
  YamlFile,
  boolean,
  entries,
  integer,
  list,
  mapping,
  number,
  oneOf,
  scalar,
  text,
  words,
} from './yaml-fields.ts';
import type { Field } from './yaml-fields.ts';

export const defaultGatewayConfig: GatewayConfig = {
  device: 'fw0',
  queues: 1,
  offload: 'auto',
  ioUring: 'auto',
  fastPath: defaultFastPath,
  txQueueLength: 4000,
  flows: { capacity: 262_144, perServerShare: 0.5, survive: true },
  fragments: { memory: 4 << 20 },
  timeouts: defaultTimeoutSeconds,
  tcp: { loose: false, liberal: false },
  start: 'last-good',
  reject: defaultReject,
  reload: 'cut',
  tests: { onReload: false },
  api: {
    host: '127.0.0.1',
    port: 8740,
    hosts: [],
    socket: '/run/tunwall/tunwall.sock',
    insecure: false,
    trustedProxies: [],
  },
  metrics: { allow: [{ from: 0x7f000000, to: 0x7fffffff, text: '127.0.0.0/8' }] },
  log: { level: 'info', dropsPerSecond: 10 },
};

const reload: Field<GatewayConfig['reload']> = (place) => {
  const drain = mapping<{ drain: number }>(
    'a mapping',
    { drain: integer(1, 86_400, ' of seconds') },
    ['drain'],
  );
  if ('items' in place.node) return drain(place);
  return scalar<'cut' | 'keep'>('cut, keep or { drain: SECONDS }', (value) =>
    value === 'cut' || value === 'keep' ? { value } : undefined,
  )(place);
};

const perSecond = integer(1, 1_000_000);
const reject = mapping<Partial<RejectSettings>>(
  'what is answered',
  { inbound: boolean, outbound: boolean, perSecond, perSourcePerSecond: perSecond },
  [],
);

const start: Field<GatewayConfig['start']> = scalar('last-good or strict', (value) =>
  value === 'last-good' || value === 'strict' ? { value } : undefined,
);

const listen: Field<Listen> = parsed('an IPv4 address and a port like 127.0.0.1:8740', (value) => {
  const match = /^([\d.]+):(\d{1,5})$/.exec(value);
  const port = Number(match?.[2]);
  const address = match === null ? undefined : parseRange(match[1]!);
  if (
    match === null ||
    address === undefined ||
    'message' in address ||
    port < 1 ||
    port > 65_535
  ) {
    return {
      message: `expected an IPv4 address and a port like 127.0.0.1:8740, found "${value}"`,
    };
  }
  return { value: { host: match[1]!, port } };
});

const hostName: Field<string> = scalar('a host name like fw.example.com', (value) => {
  const valid =
    typeof value === 'string' &&
    /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/i.test(value);
  return valid ? { value: value.toLowerCase() } : undefined;
});

/** The kernel's limit is 107 bytes. */
const socketPath = text(
  'an absolute path of at most 107 bytes',
  /^\/(?!.*(^|\/)\.\.(\/|$))[\x21-\x7e]{1,106}$/,
);

const filePath = text('an absolute path of a file', /^\/./);

const directoryPattern = /^\/(?!.*(^|\/)\.\.(\/|$))[^\p{Cc}]+$/u;
const directoryPath = text('an absolute path of a directory, without ..', directoryPattern);

const flowLogDefaults = { of: 'all', maxSize: 100 << 20, keep: 5 } as const;
const flowLogFields = mapping<Partial<FlowLogConfig> & { file: string }>(
  'settings of the flow log',
  {
    file: text('an absolute path of a file', /^\/(?:.*\/)?[^/]+$/),
    of: oneOf(['all', 'rules']),
    maxSize: integer(65_536, 2 ** 40, ' of bytes'),
    keep: integer(0, 1000, ' of files'),
  },
  ['file'],
);
const flowLog: Field<FlowLogConfig> = (place) => {
  const value = flowLogFields(place);
  return value && { ...flowLogDefaults, ...value };
};

const clients: Field<AddressRange[]> = list(
  'addresses',
  parsed('an address or a block', parseRange),
);

type ApiConfig = GatewayConfig['api'];
type ApiFields = { -readonly [K in Exclude<keyof ApiConfig, keyof Listen>]?: ApiConfig[K] } & {
  listen?: Listen;
};

const apiFields = mapping<ApiFields>(
  'settings of the API',
  {
    listen,
    hosts: list('host names', hostName),
    socket: socketPath,
    tls: mapping<{ cert: string; key: string }>(
      'the files of a certificate',
      { cert: filePath, key: filePath },
      ['cert', 'key'],
    ),
    insecure: boolean,
    trustedProxies: clients,
  },
  [],
);

/** Passwords and sessions do not go over a network in the clear, unless somebody says that they may. */
const api: Field<ApiFields> = (place) => {
  const value = apiFields(place);
  if (value?.listen === undefined || value.tls !== undefined || value.insecure === true) {
    return value;
  }
  const { host } = value.listen;
  if (host.startsWith('127.')) return value;
  const { file, node, path } = entries(place, '')!.get('listen')!;
  const ways = 'name a certificate in api.tls, or write insecure: true if the network is trusted';
  file.report(node, path, `passwords would go over the network of ${host} in the clear: ${ways}`);
  return undefined;
};

const timeout = integer(1, maxTimeoutSeconds, ' of seconds');
const timeoutNames = Object.keys(defaultTimeoutSeconds) as TimeoutName[];
const timeouts = mapping<Partial<Record<TimeoutName, number>>>(
  'timeouts',
  Object.fromEntries(timeoutNames.map((each) => [each, timeout])) as Record<
    TimeoutName,
    Field<number>
  >,
  [],
);

type GatewayFields = {
  [K in keyof GatewayConfig]?: GatewayConfig[K] extends object ? object : GatewayConfig[K];
};

export function validateGateway(fileName: string, content: string): Validated<GatewayConfig> {
  const file = new YamlFile(fileName, content);
  const fields = mapping<Required<GatewayFields>>(
    'the settings of the gateway',
    {
      device: text(
        'the name of an interface, at most 15 characters',
        /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/,
      ),
      queues: integer(1, 16),
      offload: oneOf(['auto', 'off']),
      ioUring: oneOf(['auto', 'off']),
      fastPath: oneOf(fastPathModes),
      txQueueLength: integer(100, 100_000, ' of packets'),
      flows: mapping<{ capacity?: number; perServerShare?: number; survive?: boolean }>(
        'limits of the flow table',
        {
          capacity: integer(1024, 4_194_304, ' of flows'),
          perServerShare: number(0.01, 1),
          survive: boolean,
        },
        [],
      ),
      fragments: mapping<{ memory?: number }>(
        'limits of fragments',
        { memory: integer(131_072, 268_435_456, ' of bytes') },
        [],
      ),
      timeouts,
      tcp: mapping<{ loose?: boolean; liberal?: boolean }>(
        'switches of TCP tracking',
        { loose: boolean, liberal: boolean },
        [],
      ),
      start,
      reject,
      reload,
      tests: mapping<{ onReload?: boolean }>('when tests are judged', { onReload: boolean }, []),
      api,
      metrics: mapping<{ listen?: Listen; allow?: AddressRange[] }>(
        'settings of the metrics',
        { listen, allow: clients },
        [],
      ),
      log: mapping<Partial<GatewayConfig['log']>>(
        'settings of the log',
        {
          level: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
          dropsPerSecond: number(0, 10_000),
          flows: flowLog,
        },
        [],
      ),
      store,
      name: text(nameWords, namePattern),
      region: words,
      stateDirectory: directoryPath,
    },
    [],
  );
  const config: Field<GatewayConfig> = (place) => {
    const value = fields(place) as
      (Omit<Partial<GatewayConfig>, 'api'> & { api?: ApiFields }) | undefined;
    if (value === undefined) return undefined;
    const defaults = defaultGatewayConfig;
    const { listen: own, ...others } = value.api ?? {};
    return {
      ...defaults,
      ...value,
      flows: { ...defaults.flows, ...value.flows },
      fragments: { ...defaults.fragments, ...value.fragments },
      timeouts: { ...defaults.timeouts, ...value.timeouts },
      tcp: { ...defaults.tcp, ...value.tcp },
      reject: { ...defaults.reject, ...value.reject },
      tests: { ...defaults.tests, ...value.tests },
      log: { ...defaults.log, ...value.log },
      api: { ...defaults.api, ...own, ...others },
      metrics: { ...defaults.metrics, ...value.metrics },
    };
  };
  return read(file, config, defaultGatewayConfig);
}

/** As it stands in a line of its own. */
const stateDirectoryLine = /^stateDirectory:[ \t]*(["']?)(\/.*?)\1[ \t]*(?:[ \t]#.*)?\r?$/m;

/** Where state lies, by the text of a gateway.yaml that may have errors elsewhere: they must not lead to other users and another history. */
export function stateDirectoryIn(content: string): string | undefined {
  const { value, problems } = validateGateway('', content);
  if (problems.every(({ severity }) => severity !== 'error')) return value?.stateDirectory;
  const written = stateDirectoryLine.exec(content)?.[2];
  return written !== undefined && directoryPattern.test(written) ? written : undefined;
}
