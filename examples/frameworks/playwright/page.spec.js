import { expect, test } from '@playwright/test'

test('the page is secure', async ({ page }) => {
  await page.goto('/')
  await expect(page.locator('#greeting')).toHaveText('Hello')
  expect(await page.evaluate('isSecureContext')).toBe(true)
})

test('so is a request of the test itself', async ({ request }) => {
  expect((await request.get('/')).status()).toBe(200)
})
