// The REST interface in Swagger UI. A key in the address (?token=KEY) is used for the description and for "Try it out".

const key = new URLSearchParams(location.search).get("token");

const ui = globalThis.SwaggerUIBundle({
  url: new URL("openapi.json", location.href).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  requestInterceptor(request) {
    if (key && request.loadSpec) request.headers.Authorization = `Bearer ${key}`;
    return request;
  },
  onComplete() {
    if (key) ui.preauthorizeApiKey("bearer", key);
  },
});
