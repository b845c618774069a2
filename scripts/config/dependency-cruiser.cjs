// The direction of imports. Each room imports from its own floor only what stands before it, and from any floor below.
// README.md of each room says what it is for.
const floors = [
  // What Node and the kernel do not give in one call, and how text leaves the program. Stands on nothing.
  ['system', 'text'],
  // The data plane, in the order in which a packet meets it. `tun` is apart: the engine knows no device.
  ['dataplane/wire'],
  ['dataplane/flow', 'dataplane/match'],
  ['dataplane/engine', 'dataplane/tun'],
  ['dataplane/worker'],
  ['policy'],
  ['interop/rules', 'interop/captures'],
  // The control plane: what is kept, counted and logged; then who may ask for it; then the running firewall.
  ['control/store', 'control/log', 'control/metrics'],
  ['control/api'],
  ['control/service'],
  ['cli'],
];
const room = (names) => `^src/(${names.join('|')})/`;

/** Rooms that know less than their floor allows. */
const narrow = {
  host: ['system', 'text'],
  lab: ['system', 'text'],
  policy: ['dataplane/wire', 'dataplane/flow', 'dataplane/match', 'system', 'text'],
  'interop/rules': ['policy', 'system', 'text'],
};

/** Imports from a room to anywhere in `src` that is not listed. */
const only = (name, from, allowed) => ({
  name,
  severity: 'error',
  from: { path: room([from]) },
  to: { path: '^src/', pathNot: room([from, ...allowed]) },
});

const hot = '^src/dataplane/(wire|flow|match|engine)/';

module.exports = {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'packet-path-is-pure',
      severity: 'error',
      from: { path: hot },
      to: { path: '^src/(system|text)/' },
    },
    {
      name: 'packet-path-is-pure',
      severity: 'error',
      from: { path: hot },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-no-pkg', 'unknown'] },
    },
    ...floors.flatMap((rooms, floor) =>
      rooms.map((from) =>
        only('imports-run-downwards', from, [
          ...floors.slice(0, floor).flat(),
          ...(from === 'cli' ? ['host', 'lab'] : []),
        ]),
      ),
    ),
    ...Object.entries(narrow).map(([from, allowed]) => only('room-stays-small', from, allowed)),
    // The panel runs in browsers. All it knows of the program are the types of requests and answers, and words.
    only('panel-imports-types-of-the-api-only', 'panel', ['control/api', 'text']),
    {
      name: 'panel-imports-types-of-the-api-only',
      severity: 'error',
      from: { path: '^src/panel/' },
      to: { path: '^src/control/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'only-main-puts-it-together',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/main\\.ts$' },
      to: { path: '^src/main\\.ts$' },
    },
    {
      name: 'nobody-imports-the-panel',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/panel/' },
      to: { path: '^src/panel/' },
    },
    {
      name: 'product-imports-no-test-code',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      // What the panel is built of ends up in dist/panel.
      name: 'no-dev-dependency-in-product',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/panel/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.js'],
      conditionNames: ['import', 'node'],
    },
  },
};
