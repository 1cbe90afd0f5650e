import HtmlWebpackPlugin from 'html-webpack-plugin'
import { certificateFor } from 'rootling'

export default async () => {
  const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
  return {
    mode: 'development',
    entry: './main.js',
    plugins: [new HtmlWebpackPlugin({ template: './index.html' })],
    devServer: { host: 'localhost', server: { type: 'https', options: { key, cert } } },
  }
}
