// Reads Debezium's envelopes as a Kafka Connect sink does: Connect's own JsonConverter with schemas,
// then Debezium's own ExtractNewRecordState. One line of standard input is a key and a value in
// base64, with a tab between; an empty key is none. One line of output is what was read, as JSON.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.debezium.transforms.ExtractNewRecordState;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Base64;
import java.util.Map;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.source.SourceRecord;

public class ReadEnvelopes {
    static final ObjectMapper MAPPER = new ObjectMapper();
    static final JsonConverter PLAIN = converter(false, false);

    static JsonConverter converter(boolean schemas, boolean key) {
        JsonConverter made = new JsonConverter();
        made.configure(
            Map.of("schemas.enable", schemas, "decimal.format", "NUMERIC"), key);
        return made;
    }

    static JsonNode plain(Schema schema, Object value) throws Exception {
        return value == null
            ? MAPPER.nullNode()
            : MAPPER.readTree(PLAIN.fromConnectData("topic", schema, value));
    }

    public static void main(String[] arguments) throws Exception {
        JsonConverter keys = converter(true, true);
        JsonConverter values = converter(true, false);
        ExtractNewRecordState<SourceRecord> unwrap = new ExtractNewRecordState<>();
        unwrap.configure(Map.of("add.fields", "op,source.snapshot,source.event_id"));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split("\t", -1);
            byte[] key = parts[0].isEmpty() ? null : Base64.getDecoder().decode(parts[0]);
            SchemaAndValue readKey = keys.toConnectData("topic", key);
            SchemaAndValue read =
                values.toConnectData("topic", Base64.getDecoder().decode(parts[1]));
            ((Struct) read.value()).validate();
            SourceRecord flat = unwrap.apply(new SourceRecord(
                Map.of(), Map.of(), "topic", 0,
                readKey.schema(), readKey.value(), read.schema(), read.value()));
            ObjectNode said = MAPPER.createObjectNode();
            said.put("name", read.schema().name());
            said.set("key", plain(readKey.schema(), readKey.value()));
            said.set("envelope", plain(read.schema(), read.value()));
            said.set("row", plain(flat.valueSchema(), flat.value()));
            System.out.println(MAPPER.writeValueAsString(said));
        }
    }
}
