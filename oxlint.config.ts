import { defineConfig } from 'oxlint'

/**
 * The rooms of `src/`, lowest floor first. A room may import from lower floors and from no other room on its own floor,
 * and it comes in by the door: `../room/index.ts`.
 */
const floors = [
  ['config', 'lock', 'principal', 'secret'],
  ['geo', 'clickhouse', 'redis', 'securitylog'],
  ['store', 'spool', 'http', 'disk'],
  ['collector', 'ratelimit', 'jobs', 'rollups', 'retention', 'analytics', 'backup'],
  ['detection'],
  ['reports'],
  ['graphql', 'dashboard'],
  ['app'],
  ['demo'],
  ['cli'],
]

const overrides = floors.flatMap((rooms, floor) =>
  rooms
    .filter((room) => floor > 0 && room !== 'app')
    .map((room) => {
      const above = floors
        .slice(floor)
        .flat()
        .filter((other) => other !== room)
      return {
        files: [`src/${room}/**/*.ts`],
        rules: {
          'no-restricted-imports': [
            'error',
            {
              patterns: [
                {
                  regex: `^(\\.\\./)+(${above.join('|')})(/|\\.ts$)`,
                  message: `src/${room} may not reach up into a higher room: hand it in from src/app.ts.`,
                },
                {
                  group: floors
                    .flat()
                    .flatMap((other) => (other === room ? [] : [`../${other}/*`, `../../${other}/*`, `!**/index.ts`])),
                  message: "Come in by the door: import the room's index.ts.",
                },
              ],
            },
          ],
        },
      } as const
    }),
)

export default defineConfig({
  plugins: ['typescript', 'unicorn', 'oxc', 'import', 'promise', 'node'],
  categories: { correctness: 'error', suspicious: 'error', perf: 'error' },
  options: { typeAware: true },
  rules: {
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
    'typescript/consistent-type-imports': 'error',
    'import/no-cycle': 'error',
    'no-console': 'error',
    // Sequential awaits are the point where order matters (spool, migrations); a blanket rule only breeds exceptions.
    'no-await-in-loop': 'off',
    'no-shadow': 'off',
    // Of windows; threads have no origin.
    'unicorn/require-post-message-target-origin': 'off',
    'unicorn/no-array-sort': 'off',
    'unicorn/no-array-reverse': 'off',
    'promise/always-return': 'off',
    'import/no-unassigned-import': 'off',
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/consistent-return': 'off',
    'oxc/no-map-spread': 'off',
    // Meant for Express 4; Fastify waits for its handlers.
    'oxc/no-async-endpoint-handlers': 'off',
  },
  ignorePatterns: ['dist', 'node_modules', 'data'],
  overrides: [
    ...overrides,
    {
      files: ['src/middleware/**/*.ts'],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: [
              {
                // All but `./` and `node:`, by an engine that cannot look ahead.
                regex: '^(\\.\\.|[^.n]|n[^o]|no[^d]|nod[^e]|node[^:])',
                message:
                  "src/middleware runs inside other people's services: it imports its own files and Node's, nothing else.",
              },
            ],
          },
        ],
      },
    },
    {
      files: ['src/cli/**', 'src/demo/**', 'load/**', 'test/**', 'src/clickhouse/embedded/engine.ts'],
      rules: { 'no-console': 'off' },
    },
  ],
})
