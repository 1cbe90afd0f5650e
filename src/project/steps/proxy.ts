import type { PlannedStep, Work } from '../step.ts'

/** Shows the routes, which a later version of Rootling will use. */
export async function planProxy({ wanted }: Work): Promise<PlannedStep[]> {
  return [...wanted.proxy].map(([name, target]) => ({
    step: {
      code: 'proxy',
      subject: `${name} → ${typeof target === 'number' ? `http://127.0.0.1:${target}` : target}`,
      outcome: 'not-used',
      privileged: false,
      detail: 'This version of Rootling has no proxy yet.',
    },
    dangers: [],
    done: [],
    uses: [],
    apply: async () => undefined,
  }))
}
