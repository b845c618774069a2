// The direction of imports: rooms.cjs says which room may import what. test/unit/docs/import-rules.test.ts shows each rule at work.
const { mayImport, packetPath } = require('./rooms.cjs');

const within = (rooms) => `^src/(${rooms.join('|')})/`;

module.exports = {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(mayImport).map(([room, others]) => ({
      name: 'imports-run-downwards',
      severity: 'error',
      from: { path: within([room]) },
      to: { path: '^src/', pathNot: within([room, ...others]) },
    })),
    {
      // main.ts alone is in no room: it puts everything together.
      name: 'every-file-has-a-room',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/main\\.ts$', within(Object.keys(mayImport))] },
      to: {},
    },
    {
      name: 'packet-path-is-pure',
      severity: 'error',
      from: { path: within(packetPath) },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-no-pkg', 'unknown'] },
    },
    {
      // All that the panel knows of the program are the types of requests and answers, and words.
      name: 'panel-imports-types-of-the-api-only',
      severity: 'error',
      from: { path: within(['panel']) },
      to: { path: within(['control']), dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'product-imports-no-test-code',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      // What the panel is built of ends up in dist/panel. Matchers for vitest are for those who have it.
      name: 'no-dev-dependency-in-product',
      severity: 'error',
      from: { path: '^src/', pathNot: [within(['panel']), '^src/(testing|lab)/vitest\\.ts$'] },
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
