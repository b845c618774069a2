// The direction of imports (DESIGN.md section 8): each folder, and the folders it may import.
const layers = {
  wire: [],
  flow: ['wire'],
  rules: ['wire'],
  engine: ['wire', 'flow', 'rules'],
  tun: [],
  worker: ['engine', 'tun', 'wire', 'flow', 'rules'],
  // Of flow it is tables (timeouts, which the configuration names; what opens a flow), and what the engine is set up with.
  policy: ['rules', 'wire', 'flow'],
  exchange: ['policy'],
  capture: ['engine', 'flow', 'rules', 'wire', 'policy'],
  // Of tun it is the addon, for a lock that Node does not have.
  store: ['policy', 'tun'],
  metrics: ['worker', 'engine', 'flow', 'wire'],
  log: ['engine', 'wire'],
  // Of wire and flow it is names: drop reasons, flow states, where a packet begins behind its virtio header.
  api: ['policy', 'store', 'worker', 'metrics', 'wire', 'flow'],
  service: [
    'api',
    'capture',
    'engine',
    'flow',
    'log',
    'metrics',
    'policy',
    'rules',
    'store',
    'wire',
    'worker',
  ],
  gateway: [],
  demo: [],
  panel: ['api'],
  cli: ['api', 'capture', 'exchange', 'gateway', 'policy', 'store'],
};

const hot = '^src/(wire|flow|rules|engine)/';

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'data-plane-imports-no-node-module',
      severity: 'error',
      from: { path: hot },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-no-pkg', 'unknown'] },
    },
    {
      name: 'only-main-puts-it-together',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/main\\.ts$' },
      to: { path: '^src/main\\.ts$' },
    },
    {
      // The panel runs in browsers: what it knows of the program are the types of requests and answers.
      name: 'panel-imports-types-of-the-api-only',
      severity: 'error',
      from: { path: '^src/panel/' },
      to: { path: '^src/(?!panel/)', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nobody-imports-the-panel',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/panel/' },
      to: { path: '^src/panel/' },
    },
    ...Object.entries(layers).map(([folder, allowed]) => ({
      name: `${folder}-imports-downwards`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
    })),
    {
      name: 'product-imports-no-test-code',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'no-dev-dependency-in-product',
      severity: 'error',
      // What the panel is built of ends up in dist/panel.
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
