/* ROOT PORT: connects to localhost and prints `accepted`, or `refused: ` with what mbedTLS says. */
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <stdio.h>

static int refused(int code, mbedtls_ssl_context *ssl) {
  char text[200], why[400] = "";
  mbedtls_strerror(code, text, sizeof text);
  if (ssl != NULL) mbedtls_x509_crt_verify_info(why, sizeof why, " ", mbedtls_ssl_get_verify_result(ssl));
  printf("refused: %s%s\n", text, why);
  return 1;
}

int main(int count, char **arguments) {
  mbedtls_net_context net;
  mbedtls_ssl_context ssl;
  mbedtls_ssl_config config;
  mbedtls_x509_crt root;
  mbedtls_entropy_context entropy;
  mbedtls_ctr_drbg_context random;
  int code;
  if (count != 3) return 2;
  mbedtls_net_init(&net);
  mbedtls_ssl_init(&ssl);
  mbedtls_ssl_config_init(&config);
  mbedtls_x509_crt_init(&root);
  mbedtls_entropy_init(&entropy);
  mbedtls_ctr_drbg_init(&random);
  if ((code = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0)) != 0 ||
      (code = mbedtls_x509_crt_parse_file(&root, arguments[1])) != 0 ||
      (code = mbedtls_net_connect(&net, "127.0.0.1", arguments[2], MBEDTLS_NET_PROTO_TCP)) != 0 ||
      (code = mbedtls_ssl_config_defaults(&config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                          MBEDTLS_SSL_PRESET_DEFAULT)) != 0)
    return refused(code, NULL);
  mbedtls_ssl_conf_authmode(&config, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_ca_chain(&config, &root, NULL);
  mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
  if ((code = mbedtls_ssl_setup(&ssl, &config)) != 0 ||
      (code = mbedtls_ssl_set_hostname(&ssl, "localhost")) != 0)
    return refused(code, NULL);
  mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, NULL);
  if ((code = mbedtls_ssl_handshake(&ssl)) != 0) return refused(code, &ssl);
  printf("accepted\n");
  return 0;
}
