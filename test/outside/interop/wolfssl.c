/* ROOT PORT: connects to localhost and prints `accepted`, or `refused: ` with what wolfSSL says. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static int refused(int code) {
  char text[WOLFSSL_MAX_ERROR_SZ];
  wolfSSL_ERR_error_string((unsigned long)code, text);
  printf("refused: %s (%d)\n", text, code);
  return 1;
}

int main(int count, char **arguments) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  int code, connection = socket(AF_INET, SOCK_STREAM, 0);
  if (count != 3) return 2;
  wolfSSL_Init();
  WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLS_client_method());
  code = wolfSSL_CTX_load_verify_locations(context, arguments[1], NULL);
  if (code != WOLFSSL_SUCCESS) return refused(code);
  wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_PEER, NULL);
  WOLFSSL *ssl = wolfSSL_new(context);
  wolfSSL_check_domain_name(ssl, "localhost");
  to.sin_port = htons((unsigned short)atoi(arguments[2]));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(connection, (struct sockaddr *)&to, sizeof to) != 0) return 3;
  wolfSSL_set_fd(ssl, connection);
  code = wolfSSL_connect(ssl);
  if (code != WOLFSSL_SUCCESS) return refused(wolfSSL_get_error(ssl, code));
  printf("accepted\n");
  return 0;
}
