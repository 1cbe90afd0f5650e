import { defineConfig } from '@playwright/test'

const url = `https://localhost:${process.env.PORT ?? 8443}/`

export default defineConfig({
  use: { baseURL: url },
  webServer: { command: 'npm run dev', url },
})
