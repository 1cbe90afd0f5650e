import axe from 'axe-core'
import type { Page } from 'playwright-core'

interface Results {
  readonly violations: readonly {
    readonly id: string
    readonly help: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

/** Returns what axe finds wrong for people who use a keyboard or a screen reader; empty: nothing. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const results = await page.evaluate<Results>('axe.run()')
  return results.violations.map(
    ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`,
  )
}
